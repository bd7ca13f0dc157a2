"""The Python API: GraphRecommender(...).fit(frame).recommend(users, k)."""

import shutil
import tempfile
import warnings
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from operator import index
from pathlib import Path
from typing import Any, Literal, Self, Unpack

import polars as pl
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from recsys.bundle.bundle import Bundle
from recsys.core.arrays import Float32Array
from recsys.core.artefacts import atomic_folder, read_json, write_json
from recsys.core.config import RunConfig, build_config, rename_old_parameters
from recsys.core.errors import UsageError
from recsys.core.forks import refuse_in_fork
from recsys.core.progress import QUIET, Progress
from recsys.core.tables import LOG_SCHEMA
from recsys.evaluate.held_out_rows import evaluate_rows
from recsys.fitting.known_names import require_known_names
from recsys.fitting.whole_log import (
    LogChoice,
    bundle_of_log,
    choose_on_held_out_rows,
    contents_of_all_items,
)
from recsys.logs.frames import (
    SIMILAR,
    Frame,
    FrameStyle,
    ids_of,
    list_columns,
    plain_value,
    to_polars,
)
from recsys.logs.ingest import ingest, load_log
from recsys.lookup.cold_start import Fallback
from recsys.lookup.lookup import Answer, Attributes, Event, Explained, Lookup
from recsys.lookup.options import ListKeywords
from recsys.lookup.shown import ShownList
from recsys.releases.publish import write_bundle
from recsys.second_stage.trees import require_lightgbm

_CARD = "recommender.json"
_KEY = "key"
_DEFAULTS = RunConfig()
_REASONS = "reasons"


def _option(key: str, default_of: str | None = None) -> Any:
    """A parameter that stands for a key of the configuration, with the default of the key.

    default_of: the key whose default it has, when it is not its own.
    """
    default: Any = _DEFAULTS
    for name in (default_of or key).split("."):
        default = getattr(default, name)
    return field(default=default, metadata={_KEY: key})


@dataclass(kw_only=True, eq=False, repr=False)
class GraphRecommender(BaseEstimator):
    """A graph-attention recommender with the conventions of scikit-learn.

    `fit` chooses the number of epochs, and what histories add, on rows held out from the log, then
    refits on all of it. Parameters are those of the configuration (docs/configuration.md) under the
    same names and with the same defaults; `epochs` with `early_stopping=False` trains for exactly
    that many, and takes the vectors alone. Column parameters name the columns of the frames given.
    `texts` names columns of the frame of items whose texts are read together (docs/texts.md), by words
    and character n-grams or, with `text_model`, by a model on disk. `second_stage` is `rank.model`:
    it needs rows held out, and so early stopping (docs/second-stage.md).
    """

    family: Literal["degree_prior", "history", "gat", "gatv2"] = _option("model.family")
    width: int = _option("model.width")
    layers: int = _option("model.layers")
    heads: int = _option("model.heads")
    attention: bool = _option("model.attention")
    similarity: Literal["cosine", "dot"] = _option("model.similarity")
    loss: str = _option("train.loss")
    temperature: float | None = _option("train.temperature")
    negatives: int = _option("train.negatives")
    epochs: int | None = _option("train.epochs")
    batch_size: int | None = _option("train.batch_size")
    lr: float = _option("train.lr")
    mode: Literal["auto", "full", "sampled"] = _option("train.mode")
    early_stopping: bool = True
    patience: int = _option("train.patience")
    refit_share: float = _option("train.refit_share")
    neighbours: int = _option("blend.neighbours")
    low_pass_rank: int = _option("blend.low_pass_rank")
    # What is held out by `fit` decides when to stop, so it is the test of its own split.
    validation_share: float = _option("split.test_share", default_of="split.validation_share")
    user_col: str = _option("data.user_col")
    item_col: str = _option("data.item_col")
    time_col: str | None = _option("data.time_col")
    time_unit: str = _option("data.time_unit")
    behavior_col: str | None = _option("data.behavior_col")
    weight_col: str | None = _option("data.weight_col")
    rating_col: str | None = _option("data.rating_col")
    min_rating: float | None = _option("clean.min_rating")
    target: str | None = _option("graph.target")
    task: Literal["any", "new"] = _option("evaluate.task")
    attributes: Sequence[str] = ()
    user_attributes: Sequence[str] = ()
    texts: Sequence[str] = ()
    text_model: str | None = None
    second_stage: Literal["none", "lightgbm"] = _option("rank.model")
    seed: int = _option("seed")
    threads: int | None = _option("threads")

    def fit(
        self,
        interactions: object,
        y: None = None,
        *,
        items: object | None = None,
        users: object | None = None,
        progress: Progress = QUIET,
    ) -> Self:
        """Learn from a polars or pandas frame with one row per event.

        Args:
            interactions: The log.
            y: Ignored, for scikit-learn.
            items: Frame of item ids, titles (column "title") and attribute columns.
            users: Frame of user ids and attribute columns.
            progress: Told what goes on.

        Returns:
            The recommender itself.

        Raises:
            DataError: A frame cannot be used.
            ConfigError: A parameter is out of range, or `texts` names a column that there is not.
            UsageError: In a forked process that cannot fit; `texts` without a frame of items, or a
                second stage without rows held out.
            MachineError: A second stage without LightGBM.
        """
        refuse_in_fork("fit")
        config = self.configuration()
        self._require_inputs(config, items)
        log_table = self._read_log(interactions)
        style = FrameStyle.of(interactions, log_table, self.user_col, self.item_col)
        home = Path(tempfile.mkdtemp(prefix="recsys-"))
        finalizer = weakref.finalize(self, shutil.rmtree, home, ignore_errors=True)
        config = self._write_tables({"items": items, "users": users}, config, home)
        report = ingest(log_table, config.data, config.clean, home / "log", progress)
        for warning in report.warnings:
            for name in ("items", "users"):
                # The caller gave a frame, and knows no file.
                file = str(home / f"{name}.parquet")
                warning = warning.replace(f" {file!r}", "")
            warnings.warn(warning, UserWarning, stacklevel=2)
        log = load_log(home / "log")
        contents = contents_of_all_items(log, config, progress)
        choice = LogChoice(config.train.epochs)
        if self._holds_out(config):
            choice = choose_on_held_out_rows(log, config, contents, progress)
        bundle = bundle_of_log(log, config, choice, contents, progress)
        self._take(write_bundle(home / "bundles", bundle), style, finalizer)
        return self

    def recommend(
        self,
        users: object,
        k: int = 10,
        *,
        histories: Sequence[Sequence[object]] | None = None,
        fallback: Fallback = "refuse",
        unknown: Fallback | None = None,
        **options: Unpack[ListKeywords],
    ) -> Frame:
        """The k best items of each user.

        Args:
            users: Ids.
            k: Length of the lists.
            histories: New items of each user, on top of what was learnt.
            fallback: What users get that are not in the log: "refuse" warns and gives them no rows,
                "popularity" gives the most popular items.
            unknown: Old name of `fallback`, until 0.3.
            options: As in `Lookup.recommend`: offset, exclude_seen, allow, deny, filters,
                popularity, diversity, explain, include.

        Returns:
            Columns user, item, score, rank (from 1), best first; those to include; with explain
            also reasons, text.

        Raises:
            UsageError: No user is known, or a value cannot be.
        """
        if unknown is not None:
            warnings.warn("the option 'unknown' is called 'fallback' now", FutureWarning, 2)
            fallback = unknown
        style = self.style_
        user_ids = ids_of(users, style.user_col)
        for name in ("allow", "deny"):
            if options.get(name) is not None:
                options[name] = ids_of(options[name], style.item_col)
        events = None if histories is None else [_history(history) for history in histories]
        answers = self.lookup_.recommend(
            user_ids, k, histories=events, fallback=fallback, **options
        )
        _warn_of_refused(answers)
        columns = list_columns(answers, style.user_col, user_ids, style.item_col)
        for column in options.get("include", ()):
            columns[column] = [
                item["fields"][column] for answer in answers for item in answer["items"]
            ]
        if options.get("explain"):
            columns[_REASONS] = _reason_texts(answers)
        return style.frame(columns)

    def show(self, user: object, k: int = 10, **options: Unpack[ListKeywords]) -> ShownList:
        """The list of one user with its reasons, to look at: a table in notebooks and terminals.

        Options and errors are those of `recommend`.
        """
        options["explain"] = True
        [user_id] = ids_of(user, self.style_.user_col)
        [answer] = self.lookup_.recommend([user_id], k, **options)
        return ShownList(user_id, answer)

    def recommend_history(
        self,
        history: object,
        k: int = 10,
        *,
        attributes: Attributes | None = None,
        exclude_seen: bool = True,
    ) -> Frame:
        """The k best items for a visitor with these items: columns item, score, rank.

        attributes: values of the visitor by column of `user_attributes`.
        """
        answers = self.lookup_.recommend(
            k=k,
            histories=[_history(history)],
            attributes=[attributes or {}],
            exclude_seen=exclude_seen,
        )
        columns = list_columns(answers, "", [""], self.style_.item_col)
        del columns[""]
        return self.style_.frame(columns)

    def similar_items(self, items: object, k: int = 10) -> Frame:
        """The k items most similar to each item, as validation chose it (`Lookup.similar_items`):
        columns item, similar_<item>, score, rank."""
        column = self.style_.item_col
        item_ids = ids_of(items, column)
        answers = self.lookup_.similar_items(item_ids, k)
        return self.style_.frame(list_columns(answers, column, item_ids, SIMILAR + column))

    def similar_users(self, users: object, k: int = 10) -> Frame:
        """The k users nearest to each user by cosine: columns user, similar_<user>, score, rank."""
        column = self.style_.user_col
        user_ids = ids_of(users, column)
        answers = []
        for neighbours in self.lookup_.similar_users(user_ids, k):
            answers.append({"items": neighbours})
        return self.style_.frame(list_columns(answers, column, user_ids, SIMILAR + column))

    def fold_in(self, history: object, attributes: Attributes | None = None) -> Float32Array:
        """(width,) vector of a visitor with these items and attributes, without training."""
        return self.lookup_.fold_in(_history(history), attributes)

    def explain(
        self, user: object, item: object, parts: int | None = None, popularity: float = 0.0
    ) -> Explained:
        """The score of an item as one additive share per neighbour, and a rest. popularity: as in
        `recommend`.
        """
        return self.lookup_.explain(user, item, parts=parts, popularity=popularity)

    def evaluate(self, test: object, ks: int | Sequence[int] = (10, 20)) -> dict[str, Any]:
        """Exact metrics on held-out rows; what was learnt is masked.

        The rows are read as the log was, and counted as by `recsys evaluate`: rows of other
        behaviours, below `min_rating`, of pairs that were learnt, and of users or items that were
        not, do not count.

        Args:
            test: Frame with the columns of the log; only the ids are required.
            ks: List lengths, or one.

        Returns:
            Metrics as "name@k"; "users", how many are averaged over; "dropped", how many rows do
            not count, and "drops", the same by reason.

        Raises:
            DataError: The frame cannot be read, or no row counts.
            UsageError: In a forked process that cannot evaluate.
        """
        refuse_in_fork("evaluate")
        config = self.configuration()
        lengths = ks if isinstance(ks, Iterable) else [ks]
        bundle = self.lookup_.bundle
        table = self._read_log(test)
        ks = [index(length) for length in lengths]
        return evaluate_rows(bundle, table, config.data, config.clean, ks, config.evaluate.task)

    def save(self, folder: str | Path) -> Path:
        """Write the fitted recommender as a folder, whole or absent; `recsys recommend` reads it
        too.

        Raises UsageError when the folder holds anything but an earlier recommender.
        """
        target = Path(folder)
        if target.exists() and any(target.iterdir()) and not (target / _CARD).exists():
            raise UsageError(
                f"{str(folder)!r} holds other files", "Choose an empty or a new folder"
            )
        with atomic_folder(target) as unfinished:
            shutil.copytree(self.lookup_.bundle.path, unfinished, dirs_exist_ok=True)
            card = {
                "params": {name: plain_value(value) for name, value in self.get_params().items()},
                "style": self.style_.document(),
                "epochs": self.epochs_,
            }
            write_json(unfinished / _CARD, card)
        return target

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """A recommender from a folder that `save` wrote; old names of parameters are understood.

        Raises DataError when it is damaged.
        """
        refuse_in_fork("load")
        target = Path(folder)
        if not (target / _CARD).exists():
            raise UsageError(
                f"{str(folder)!r} is not a saved recommender: it has no {_CARD}",
                "Give what save() wrote",
            )
        card = read_json(target / _CARD)
        params: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in card["params"].items()
        }
        for section in sorted(cls._sections()):
            params = rename_old_parameters(section, params)
        loaded = cls(**params)
        loaded._take(target, FrameStyle.read(card["style"]), None)
        return loaded

    @property
    def style_(self) -> FrameStyle:
        """How the fitted log is written. Raises NotFittedError before `fit`."""
        self._require_fitted()
        return self._style

    @property
    def lookup_(self) -> Lookup:
        """The lookup of the fitted bundle. Raises NotFittedError before `fit`."""
        self._require_fitted()
        return self._lookup

    def _require_fitted(self) -> None:
        if not hasattr(self, "_lookup"):
            raise NotFittedError(
                "this GraphRecommender is not fitted; call fit(interactions) first"
            )

    def configuration(self) -> RunConfig:
        """The parameters as a run configuration. Raises ConfigError for a value out of range."""
        raw: dict[str, Any] = {"split": {"validation_share": 0.0}}
        for parameter in fields(self):
            key = parameter.metadata.get(_KEY)
            if key is None:
                continue
            section, _, name = key.rpartition(".")
            values = raw.setdefault(section, {}) if section else raw
            values[name] = plain_value(getattr(self, parameter.name))
        attributes = []
        for side, columns in (("item", self.attributes), ("user", self.user_attributes)):
            for column in columns:
                attributes.append({"column": str(column), "side": side})
        raw["graph"]["attributes"] = attributes
        if self.texts:
            raw["features"] = {"text": [self._text_feature()]}
        return require_known_names(build_config(raw))

    def _text_feature(self) -> dict[str, Any]:
        """What `texts` and `text_model` are in a configuration."""
        columns = [str(column) for column in self.texts]
        if self.text_model is None:
            return {"columns": columns}
        return {"columns": columns, "encoder": "folder", "folder": str(self.text_model)}

    def _require_inputs(self, config: RunConfig, items: object | None) -> None:
        """Raises UsageError where a parameter asks for what `fit` is not given."""
        if isinstance(self.texts, str):
            raise UsageError(
                f"texts = {self.texts!r} is no list of columns", f"Write texts=[{self.texts!r}]"
            )
        if self.text_model is not None and not self.texts:
            raise UsageError(
                f"text_model = {self.text_model!r} reads no text",
                "Name the columns of the frame of items in texts",
            )
        if self.texts and items is None:
            raise UsageError(
                f"texts = {list(self.texts)} are columns of items, and there is no frame of them",
                "Give fit(interactions, items=…)",
            )
        if config.rank.model == "none":
            return
        if not self._holds_out(config):
            raise UsageError(
                f"second_stage = {self.second_stage!r} is fitted on rows held out, and none are",
                "Set early_stopping=True, and epochs above 0",
            )
        require_lightgbm()

    def _holds_out(self, config: RunConfig) -> bool:
        """Whether `fit` chooses by rows held out."""
        return self.early_stopping and config.train.epochs != 0

    @classmethod
    def _sections(cls) -> set[str]:
        """Sections of the configuration that parameters stand for."""
        keys = [parameter.metadata.get(_KEY, "") for parameter in fields(cls)]
        return {key.partition(".")[0] for key in keys if "." in key}

    def _read_log(self, frame: object) -> pl.DataFrame:
        """Those columns of a frame that a log has."""
        ids = (self.user_col, self.item_col)
        columns = {*ids, *LOG_SCHEMA}
        for name in (self.time_col, self.behavior_col, self.weight_col, self.rating_col):
            if name is not None:
                columns.add(name)
        return to_polars(frame, ids, columns)

    def _write_tables(
        self, tables: Mapping[str, object | None], config: RunConfig, home: Path
    ) -> RunConfig:
        """The configuration with the tables of items and users as files."""
        id_columns = {"items": self.item_col, "users": self.user_col}
        files = {}
        for name, table in tables.items():
            if table is not None:
                files[name] = str(home / f"{name}.parquet")
                to_polars(table, (id_columns[name],)).write_parquet(files[name])
        return config.model_copy(update={"data": config.data.model_copy(update=files)})

    def _take(self, bundle: Path, style: FrameStyle, finalizer: object) -> None:
        self._lookup = Lookup(Bundle.load(bundle, verify=False))
        self.epochs_ = self._lookup.bundle.model_card["epochs"]
        self._style = style
        self._finalizer = finalizer


def _history(events: object) -> list[str | Event]:
    """Events as they are, ids of items as text."""
    if isinstance(events, Event):
        return [events]
    if isinstance(events, str | bytes) or not isinstance(events, Sequence):
        return list(ids_of(events))
    history: list[str | Event] = []
    for event in events:
        if isinstance(event, Event):
            history.append(event)
        else:
            history.extend(ids_of(event))
    return history


def _warn_of_refused(answers: Sequence[Answer]) -> None:
    """Say which users of several have no rows because they are not in the log."""
    refused = [answer["unknown"][0] for answer in answers if answer["source"] == "refused"]
    if refused:
        warnings.warn(
            f"{len(refused)} of {len(answers)} users are not in the log and get no rows: "
            f'{refused[:5]}; fallback="popularity" gives them popular items',
            UserWarning,
            stacklevel=3,
        )


def _reason_texts(answers: Sequence[Answer]) -> list[str]:
    """The reasons of every row of a table of lists, as one text."""
    texts = []
    for answer in answers:
        for item in answer["items"]:
            texts.append("; ".join(reason["text"] for reason in item["reasons"]))
    return texts
