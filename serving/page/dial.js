// A slider that says its value and is calm while it is moved.

import { byId, calmly, signed } from "./dom.js";

const PAUSE = 120; // milliseconds after its last move

export class Dial {
  /** id: of the slider; its value is told in ID-value. moved: is given the value. */
  constructor(id, moved) {
    Object.assign(this, { id, slider: byId(id), said: byId(`${id}-value`) });
    const calm = calmly(() => moved(Number(this.slider.value)), PAUSE);
    this.slider.addEventListener("input", () => {
      this.said.value = signed(Number(this.slider.value));
      calm();
    });
  }

  show(value) {
    this.slider.value = value;
    this.said.value = signed(value);
  }
}
