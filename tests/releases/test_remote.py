"""A run folder in object storage, against a server that speaks S3 over HTTP."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from object_stores import object_server
from recsys.core.artefacts import content_sha256
from recsys.core.errors import DataError, GateRefused, MachineError, UsageError
from recsys.releases import life_cycle, remote
from recsys.releases.remote import RemoteRun
from recsys.releases.remote_state import STATE
from recsys.storage.store import ChangedMeanwhile, Store
from worlds import make_contents, write_world

Run = Callable[..., str]


def run_of(name: str, live: bool = True, **card: object) -> Callable[[RemoteRun], str]:
    """What a run leaves: a bundle of its own content, live or held."""

    def leave(run: RemoteRun) -> str:
        facts = {"name": name, "family": "degree_prior", **card}
        path = write_world(run.copy.bundles, replace(make_contents(), model_card=facts))
        (run.copy.path / "manifest.json").write_text('{"status": "done"}')
        if live:
            life_cycle.publish(run.copy, path)
        return path.name

    return leave


@pytest.fixture
def publish(url: str) -> Run:
    """Run and publish at the URL; returns the name of the bundle."""

    def published(name: str, live: bool = True, **card: object) -> str:
        run = RemoteRun(url, "runs")
        with run.run():
            bundle = run_of(name, live, **card)(run)
            run.push_run(bundle)
        return bundle

    return published


def served(url: str) -> str | None:
    """Name of the bundle that a reader gets, from its files."""
    folder = RemoteRun(url, "served").follow()
    return life_cycle.live(folder)


def test_what_is_published_is_what_a_reader_gets(url: str, publish: Run) -> None:
    name = publish("a")
    assert served(url) == name
    run, reader = RemoteRun(url, "runs"), RemoteRun(url, "served")
    assert run.copy.path != reader.copy.path
    assert content_sha256(run.copy.bundles / name) == content_sha256(reader.copy.bundles / name)
    assert reader.copy.read_manifest() == {"status": "done"}
    [listed] = RemoteRun(url, "served").state().listed()
    [local] = life_cycle.listed(run.copy)
    assert listed == local and listed.live


def test_held_bundles_are_there_and_not_live(url: str, publish: Run) -> None:
    first, held = publish("a"), publish("b", live=False)
    assert served(url) == first
    listed = {bundle.name: bundle for bundle in RemoteRun(url, "served").state().listed()}
    assert listed[held].held and listed[first].live


def test_promote_rollback_and_prune_are_followed(url: str, publish: Run) -> None:
    a, b, c = publish("a"), publish("b"), publish("c", live=False)
    for change, live in (
        (lambda folder: life_cycle.promote(folder, c), c),
        (life_cycle.rollback, b),
        (life_cycle.rollback, a),
    ):
        with RemoteRun(url, "runs").changed() as folder:
            change(folder)
        assert served(url) == live
    with RemoteRun(url, "runs").changed() as folder:
        gone = life_cycle.prune(folder, 1)
    assert gone == [b]
    keys = [entry.key for entry in Store(url).entries()]
    assert not [key for key in keys if key.startswith(f"bundles/{b}")]
    assert served(url) == a


def test_a_change_that_is_refused_changes_nothing(url: str, publish: Run) -> None:
    name = publish("a")
    worse = publish("b", live=False, never_worse=False, verdict="worse than popularity")
    before = Store(url).read(STATE)
    with pytest.raises(GateRefused), RemoteRun(url, "runs").changed() as folder:
        life_cycle.promote(folder, worse)
    assert Store(url).read(STATE) == before and served(url) == name


def test_of_two_changes_at_once_the_later_is_refused(
    url: str, publish: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Both are the same change, of the same second."""
    monkeypatch.setattr(life_cycle, "_iso", lambda seconds: "2026-05-04T03:02:01+00:00")
    a, b = publish("a"), publish("b")
    with pytest.raises(ChangedMeanwhile), RemoteRun(url, "runs").changed() as folder:
        life_cycle.rollback(folder)
        with monkeypatch.context() as elsewhere:  # another machine has a cache of its own
            elsewhere.setenv("RECSYS_CACHE", str(tmp_path / "elsewhere"))
            with RemoteRun(url, "runs").changed() as theirs:
                life_cycle.rollback(theirs)
    assert served(url) == a
    assert len(RemoteRun(url, "served").state().promotions) == 3
    assert b in RemoteRun(url, "served").state().bundles


def test_a_run_that_ends_after_a_switch_comes_after_it(
    url: str, publish: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    a, b = publish("a"), publish("b")
    run = RemoteRun(url, "runs")
    with run.run():
        with monkeypatch.context() as elsewhere:
            elsewhere.setenv("RECSYS_CACHE", str(tmp_path / "elsewhere"))
            with RemoteRun(url, "runs").changed() as theirs:
                life_cycle.rollback(theirs)
        c = run_of("c")(run)
        run.push_run(c)
    state = RemoteRun(url, "served").state()
    assert [promotion.bundle for promotion in state.promotions] == [a, b, a, c]
    assert state.live == c and set(state.bundles) == {a, b, c}


def test_a_second_run_of_the_folder_on_this_machine_is_refused(url: str, publish: Run) -> None:
    publish("a")
    with (
        RemoteRun(url, "runs").run(),
        pytest.raises(UsageError, match=f"{url} is in use by process"),
        RemoteRun(url, "runs").run(),
    ):
        pass
    assert served(url) is not None


def test_an_upload_that_breaks_off_is_not_seen_and_is_gone_on_with(
    url: str, publish: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = publish("a")
    uploads: list[str] = []
    upload = Store.upload

    def breaking(store: Store, path: Path, key: str) -> None:
        if len(uploads) == 3:
            raise MachineError("the network is gone")
        uploads.append(key)
        upload(store, path, key)

    monkeypatch.setattr(remote, "_AT_ONCE", 1)
    with monkeypatch.context() as broken:
        broken.setattr(Store, "upload", breaking)
        with pytest.raises(MachineError, match="network is gone"):
            publish("b")
    assert served(url) == first
    again: list[str] = []

    def counting(store: Store, path: Path, key: str) -> None:
        again.append(key)
        upload(store, path, key)

    monkeypatch.setattr(Store, "upload", counting)
    second = publish("b")
    assert served(url) == second
    assert not set(again) & set(uploads)


def test_a_server_that_goes_away_ends_the_upload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(remote, "_AT_ONCE", 1)
    with object_server("shop") as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        run = RemoteRun("s3://shop/run", "runs")
        upload = Store.upload

        def killing(store: Store, path: Path, key: str) -> None:
            upload(store, path, key)
            server.kill()

        monkeypatch.setattr(Store, "upload", killing)
        with run.run():
            name = run_of("a")(run)
            with pytest.raises(MachineError, match=r"cannot reach s3://shop/run/"):
                run.push_run(name)


def test_a_bundle_that_was_changed_in_the_store_is_not_served(url: str, publish: Run) -> None:
    name = publish("a")
    store = Store(url)
    [key] = [entry.key for entry in store.entries() if entry.key.endswith("states_item.npy")]
    content = bytearray(store.read(key).content)
    content[-1] ^= 1
    store.write(key, bytes(content), store.read(key))
    with pytest.raises(DataError, match=r"states_item\.npy .*was changed or cut short"):
        served(url)
    assert not (RemoteRun(url, "served").copy.bundles / name).exists()
    store.delete([key])
    with pytest.raises(DataError, match=r"lacks bundles/.*states_item\.npy"):
        served(url)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"live": "000000000000"},
        {"live": "../../evil"},
        {"bundles": []},
        {"promotions": [{"evil": 1}]},
    ],
)
def test_a_state_that_is_none_is_refused(url: str, publish: Run, change: dict) -> None:
    publish("a")
    document = Store(url).read(STATE)
    content = json.dumps({**json.loads(document.content), **change}).encode()
    Store(url).write(STATE, content, document)
    with pytest.raises(DataError, match=STATE):
        served(url)


def test_no_run_is_told(url: str) -> None:
    with pytest.raises(UsageError, match=f"'{url}' is not a run folder"):
        served(url)


def test_readers_keep_two_bundles(url: str, publish: Run) -> None:
    names = []
    for name in "abc":
        names.append(publish(name))
        assert served(url) == names[-1]
    here = [path.name for path in life_cycle.all_bundles(RemoteRun(url, "served").copy)]
    assert sorted(here) == sorted(names[1:])
