"""The map from what items are to their vectors, and how many items got theirs from it.

Files: cold_mean.npy, cold_states.npy, and a cold_<n>.npy for each feature; cold_<n>.terms.json, .idf.npy
and .components.npy for one whose texts were fitted.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

from recsys.bundle.part import Facts, ForgottenUser, Kinds, Parts, registered
from recsys.bundle.storage import load_array, load_document, save_array, save_document
from recsys.cold_items.item_map import ItemFeature, ItemMap
from recsys.cold_items.new_items import NewItems
from recsys.content.encoding import ContentEncoding
from recsys.content.tfidf import TfidfEncoder


@registered
@dataclass(frozen=True)
class ColdItems:
    """item_map: learnt from the trained items. count: how many of the last items it placed."""

    item_map: ItemMap
    count: int = 0

    reads: ClassVar[Kinds] = ()

    def check(self, num_users: int, num_items: int) -> None:
        """It has rows for values, not for items."""

    def save(self, folder: Path) -> Facts:
        item_map = self.item_map
        save_array(folder / "cold_mean.npy", item_map.mean)
        save_array(folder / "cold_states.npy", item_map.states)
        features = []
        for number, feature in enumerate(item_map.features):
            save_array(folder / f"cold_{number}.npy", item_map.weights[feature.name])
            document: dict[str, Any] = {
                "name": feature.name,
                "source": feature.source,
                "separator": feature.separator,
                "feature": feature.numbers,
            }
            if feature.content is not None:
                document["content"] = _save_content(feature.content, folder, number)
            features.append(document)
        facts = {
            "traits": features,
            "length": item_map.length,
            "ridge": item_map.ridge,
            "likeness": item_map.likeness,
        }
        return {"item_map": facts, "cold_items": self.count}

    @classmethod
    def load(cls, folder: Path, facts: Facts, parts: Parts) -> Self | None:
        if "item_map" not in facts:
            return None
        fitted = facts["item_map"]
        features = []
        weights = {}
        for number, document in enumerate(fitted["traits"]):
            name, numbers = document["name"], document.get("feature")
            content = None
            if "content" in document:
                content = _load_content(name, document["content"], folder, number)
            features.append(
                ItemFeature(name, document["source"], document.get("separator"), numbers, content)
            )
            weights[name] = load_array(folder / f"cold_{number}.npy")
        item_map = ItemMap(
            features=tuple(features),
            mean=load_array(folder / "cold_mean.npy"),
            weights=weights,
            length=fitted["length"],
            states=load_array(folder / "cold_states.npy"),
            ridge=fitted["ridge"],
            likeness=fitted["likeness"],
        )
        return cls(item_map, facts.get("cold_items", 0))

    def append_items(self, new: NewItems, parts: Parts) -> "ColdItems":
        return replace(self, count=self.count + len(new))

    def drop_user(self, user: ForgottenUser) -> Self:
        return self


def _save_content(content: ContentEncoding, folder: Path, number: int) -> Facts:
    """Write what was fitted; returns what bundle.json keeps. Where vectors are cached is this
    machine's affair.
    """
    if content.tfidf is not None:
        save_document(folder / f"cold_{number}.terms.json", list(content.tfidf.terms))
        save_array(folder / f"cold_{number}.idf.npy", content.tfidf.idf)
        save_array(folder / f"cold_{number}.components.npy", content.tfidf.components)
    fitted = content.tfidf is not None
    return {"columns": list(content.columns), "config": content.config, "fitted": fitted}


def _load_content(name: str, facts: Facts, folder: Path, number: int) -> ContentEncoding:
    content = ContentEncoding(name, tuple(facts["columns"]), facts["config"])
    if not facts["fitted"]:
        return content
    tfidf = TfidfEncoder(
        tuple(load_document(folder / f"cold_{number}.terms.json")),
        load_array(folder / f"cold_{number}.idf.npy"),
        load_array(folder / f"cold_{number}.components.npy"),
    )
    return content.with_tfidf(tfidf)
