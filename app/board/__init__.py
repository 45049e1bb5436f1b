"""The board: the studio's pages, drawn with Gradio and a little HTML, CSS and script of our own.

``build(studio, locale)`` makes the pages in one language, ``mount`` puts them into the server
in every language. Addresses: ``/`` (Runs), ``/train``, ``/run?id=RUN_ID``, ``/data`` and
``/data?name=DATASET`` (with ``row`` and how it is looked at), ``/models`` (with ``view=catalogue``
and the filters).

Element ids that tests and scripts may rely on:

- header: nav-runs, nav-train, nav-data, nav-chat, nav-evaluate, nav-models, nav-system,
  lang-en, lang-zh, theme-toggle
- Runs: new-run, runs-search, runs-state, runs-kind, runs-table (rows: ``.f-row[data-id]``),
  runs-empty, empty-quickstart, runs-compare-button, runs-compare
- Train: train-preset (its select train-preset-in), train-upload, train-search, train-basic,
  train-advanced, train-start, train-reset, train-import, train-yaml-in, train-yaml-fill,
  train-import-report (rows ``tr[data-action]``), train-fit, train-problems, train-yaml,
  train-command, train-script, train-find-lr, train-reward-add (rows: ``.f-reward``),
  ``field-<path with dots as ->`` for every field of the run config, native inputs in it; chosen
  datasets are ``.f-chosen``; unseen: train-values, train-ask, train-fill, train-script-out
- Run: run-hero (``[data-state]``), run-progress, run-stop, run-resume, run-clone, run-delete,
  run-delete-confirm, run-delete-cancel, run-download-config, run-download-metrics,
  run-download-script, run-download-log, run-use-rate, run-chat-reason,
  run-health, run-charts (``[data-chart=loss]`` ...; ``data-points`` counts the
  points drawn), run-samples, run-checkpoints, run-data, run-choices, run-log, run-log-search,
  run-log-follow, run-yaml, run-missing, run-chat-prompt, run-chat-send, run-chat-open
- Data: data-table (rows: ``.f-row[data-name]``), data-add (data-drop, data-file, data-sending,
  data-add-way, data-add-source, data-add-subset, data-add-split, data-add-revision, data-add-go),
  data-said; of one dataset: data-hero (``[data-dataset]``, ``[data-checked]``, ``[data-stat]``),
  data-work (``[data-job]``), data-problems (``[data-code]``, links ``a[data-row]``),
  data-recognised, data-lengths (``[data-over]``), data-row, data-row-back, data-row-next,
  data-row-bad, data-view (``[data-row]``, ``[data-bad]``; trained text is ``mark``, what is cut
  ``s``, a special token ``.f-token``; ``.f-counts[data-tokens]``), data-view-name_or_path,
  data-view-template, data-view-max_length, data-view-overlong, data-view-train_on_prompt,
  data-view-mask_history, ``data-map-<role or tag>``, data-mapping-save, data-mapping-reset,
  data-effect, data-fix-bad, data-fix-duplicates, ``data-fix-<filter>``, data-fix-go,
  data-split-size, data-split-seed, data-split-go, data-versions, data-train-link, data-check,
  data-delete, data-delete-confirm, data-delete-cancel, data-missing
- Chat (``/chat?id=ID``, ``/chat?models=A,B``; ``ask``: a question): chat (``[data-state]``: ready,
  missing; ``[data-chat]``, ``[data-busy]`` while an answer is written), chat-new, chat-search,
  chat-list (rows ``.f-conv[data-id]`` with ``.f-conv-rename``, ``.f-conv-delete``, then
  ``.f-conv-yes`` and ``.f-conv-no``), chat-export-all, chat-side-open, chat-side-close,
  chat-title, chat-lane-0 ... chat-lane-3, chat-lane-add, chat-blind, chat-said, chat-empty,
  chat-turns (``[data-turn]``, in it ``.f-bubble``,
  ``.f-reply[data-lane][data-answer][data-state]`` with ``.f-md``, ``.f-think``,
  ``.f-call[data-tool]``, ``.f-reply-stats``, ``.f-note``; ``.f-vote``, ``.f-voted``; buttons
  ``[data-act]``: copy, again, go_on, exact, fork, edit, edit_send, before, after, retry,
  tool_send, vote-LANE, vote-tie, vote-neither), chat-to-end, chat-input, chat-attach, chat-images,
  chat-send, chat-stop, chat-settings, chat-drawer (chat-system, chat-preset, chat-preset-name,
  chat-preset-save, chat-preset-delete, ``chat-set-<setting>``, chat-reset, chat-tools,
  chat-tools-example, chat-tools-said, chat-plain), chat-more (chat-export-markdown,
  chat-export-json, chat-export-jsonl, chat-dataset-open), chat-dataset (chat-dataset-name,
  chat-dataset-go, chat-dataset-said, chat-dataset-link), chat-exact (``.f-tok``)
- Models: models-tabs, models-search, models-family, models-fits, models-licence, models-access,
  models-source, models-go, models-work (``[data-download]``), models-table (rows
  ``.f-row[data-model]``, ``.f-need[data-method][data-fits]``), models-losing,
  models-delete-confirm, models-delete-cancel
- Export and Merge (``/export?model=NAME``, ``/merge?models=A,B``, both ``?clone=RUN_ID``):
  ``field-<path with dots as ->`` as on the Train page, formats and methods as
  ``.f-option[data-option]`` (``[data-lacking]`` where it cannot be written, with
  ``.f-option-said``), export-start, export-problems, export-about, export-command, export-yaml;
  merge-start, merge-problems, merge-add, merge-source-0, merge-weight-0 ..., merge-command,
  merge-yaml; kind-draft, kind-reset; unseen: kind-values, kind-filled, kind-state
- Run of such a run: run-export and run-merge lead there; run-written (``.f-piece[data-format]``,
  written-chat, written-train), run-parity-card (``tr[data-format][data-program]``,
  ``.f-verdict[data-verdict]``: same, close, different, notrun)
- Evaluate (``/evaluate?model=RUN``, ``?clone=RUN``; one of them ``?run=ID`` with ``dataset``,
  ``metric``, ``a``, ``b``, ``order``, ``only``, ``mistake``, ``q``, ``page``): evaluate-new opens
  the form: ``field-<path with dots as ->``, metrics and benchmarks as ``.f-option[data-option]``,
  options of metrics as ``field-option-METRIC-NAME``, evaluate-fold-benchmarks, -judge, -advanced,
  evaluate-start, evaluate-problems, evaluate-about, evaluate-command, evaluate-yaml;
  evaluate-matrix (``tr[data-dataset][data-metric]``, ``.f-verdict[data-verdict]``), evaluate-list,
  evaluate-empty, evaluate-live (``[data-live]``), evaluate-missing; of one: ``.f-sum[data-sum]``,
  evaluate-comparisons, evaluate-mistakes (``tr[data-kind]``), evaluate-histogram, evaluate-judged,
  evaluate-kept, evaluate-csv, evaluate-json, evaluate-md, evaluate-filter (evaluate-dataset,
  -metric, -a, -b, -order, -only, -mistake, -q), evaluate-shown, rows ``.f-case[data-row]``,
  evaluate-previous, evaluate-next; unseen: evaluate-look
- System: system-devices, system-engines (buttons ``[data-do]``: unload, force, restart),
  system-kinds, system-keys (system-key-name, system-key-scopes, system-key-make, system-secret),
  system-endpoints (system-endpoint-name, -url, -models, -key, -add), system-checks, system-audit
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import gradio as gr
from fastapi import FastAPI
from gradio.components import Navbar
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from app.board import shell
from app.board.i18n import LOCALES
from app.board.pages import runs
from app.board.pages.chat import ChatPage
from app.board.pages.data import DataPage
from app.board.pages.evaluate import EvaluatePage
from app.board.pages.export import ExportPage
from app.board.pages.merge import MergePage
from app.board.pages.models import ModelsPage
from app.board.pages.run import RunPage
from app.board.pages.system import SystemPage
from app.board.pages.train import TrainPage
from app.board.theme import make_theme

Made = TypeVar("Made")


def build(studio: Any, locale: str = "en", *, max_upload: int = 1 << 30,
          desk: Any = None) -> Any:
    """Return the pages in one language, as gradio.Blocks.

    Args:
        studio: The service layer, app.studio.Studio.
        locale: 'en' or 'zh'.
        max_upload: Largest file that the server takes, in bytes.
        desk: Looks after the server's engines, app.system.SystemDesk.
    """
    return with_a_loop(lambda: _pages(studio, locale, max_upload, desk))


def _pages(studio: Any, locale: str, max_upload: int, desk: Any) -> Any:
    with gr.Blocks(title="Finestra", analytics_enabled=False, delete_cache=(3600, 3600)) as blocks:
        Navbar(visible=False)
        runs.page(blocks, studio, locale)
    with blocks.route("Train", "/train", show_in_navbar=False) as page:
        TrainPage(studio, locale).build(page)
    with blocks.route("Run", "/run", show_in_navbar=False) as page:
        RunPage(studio, locale).build(page)
    with blocks.route("Data", "/data", show_in_navbar=False) as page:
        DataPage(studio, locale, max_upload).build(page)
    with blocks.route("Chat", "/chat", show_in_navbar=False):
        ChatPage(locale).build()
    with blocks.route("Evaluate", "/evaluate", show_in_navbar=False) as page:
        EvaluatePage(studio, locale).build(page)
    with blocks.route("Models", "/models", show_in_navbar=False) as page:
        ModelsPage(studio, locale).build(page)
    with blocks.route("Export", "/export", show_in_navbar=False) as page:
        ExportPage(studio, locale).build(page)
    with blocks.route("Merge", "/merge", show_in_navbar=False) as page:
        MergePage(studio, locale).build(page)
    with blocks.route("System", "/system", show_in_navbar=False) as page:
        SystemPage(studio, desk, locale).build(page)
    return blocks


def with_a_loop(make: Callable[[], Made]) -> Made:
    """Make something of Gradio's inside an event loop.

    Where none runs, Gradio opens one for each of its locks and never closes it.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        async def inside() -> Made:
            return make()

        return asyncio.run(inside())
    return make()


def mount(app: FastAPI, studio: Any, root_path: str = "", *,
          max_upload: int = 1 << 30, desk: Any = None) -> None:
    """Put the board in every language at the root of the server, and its files beside it.

    Args:
        app: The server; its own middleware and routes stay in front.
        studio: The service layer.
        root_path: Path under which a proxy shows the studio, '' or '/name'.
        max_upload: Largest file that the server takes, in bytes.
        desk: Looks after the server's engines.
    """
    app.mount(shell.ASSETS, StaticFiles(directory=shell.STATIC), name="board-assets")
    boards: dict[str, Any] = {}
    for locale in LOCALES:
        blocks = build(studio, locale, max_upload=max_upload, desk=desk)
        with_a_loop(partial(_mount, app, blocks, root_path, max_upload))
        mounted = app.router.routes.pop()
        assert isinstance(mounted, Mount)
        boards[locale] = mounted.app
    app.mount("/", shell.Tongues(boards), name="board")


def _mount(app: FastAPI, blocks: Any, root_path: str, max_upload: int) -> None:
    with warnings.catch_warnings():
        # Several pages always come with a word about server-side rendering, even when off.
        warnings.filterwarnings("ignore", message="SSR mode is not supported")
        gr.mount_gradio_app(
            app, blocks, path="/", root_path=root_path or None, theme=make_theme(),
            footer_links=[], run_history=False, enable_monitoring=False, show_error=False,
            ssr_mode=False, allowed_paths=[], max_file_size=max_upload)
