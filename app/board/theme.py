"""The Gradio theme: every colour points at a variable of ``static/finestra.css``."""

from __future__ import annotations

from typing import Any

import gradio as gr

FONT = ["ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Noto Sans SC",
        "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", "sans-serif"]
MONO = ["ui-monospace", "SF Mono", "Cascadia Mono", "JetBrains Mono", "Menlo", "DejaVu Sans Mono",
        "monospace"]

_COLOURS = {
    "body_background_fill": "--f-bg", "body_text_color": "--f-ink",
    "body_text_color_subdued": "--f-dim", "background_fill_primary": "--f-card",
    "background_fill_secondary": "--f-bg", "border_color_primary": "--f-line",
    "border_color_accent": "--f-accent", "color_accent_soft": "--f-soft",
    "block_background_fill": "--f-card", "block_border_color": "--f-line",
    "block_label_background_fill": "--f-card", "block_label_text_color": "--f-ink",
    "block_title_text_color": "--f-ink", "block_info_text_color": "--f-dim",
    "panel_background_fill": "--f-card", "panel_border_color": "--f-line",
    "input_background_fill": "--f-field", "input_background_fill_focus": "--f-field",
    "input_border_color": "--f-edge", "input_border_color_focus": "--f-accent",
    "input_border_color_hover": "--f-edge-strong", "input_placeholder_color": "--f-dim",
    "button_primary_background_fill": "--f-accent",
    "button_primary_background_fill_hover": "--f-accent-strong",
    "button_primary_text_color": "--f-on-accent", "button_primary_border_color": "--f-accent",
    "button_secondary_background_fill": "--f-card",
    "button_secondary_background_fill_hover": "--f-soft",
    "button_secondary_text_color": "--f-ink", "button_secondary_border_color": "--f-edge",
    "button_cancel_background_fill": "--f-bad-soft", "button_cancel_text_color": "--f-bad",
    "button_cancel_border_color": "--f-bad-line",
    "button_cancel_background_fill_hover": "--f-bad-soft",
    "checkbox_background_color": "--f-field", "checkbox_background_color_selected": "--f-accent",
    "checkbox_border_color": "--f-edge-strong", "checkbox_border_color_selected": "--f-accent",
    "checkbox_border_color_focus": "--f-accent", "checkbox_label_background_fill": "--f-field",
    "checkbox_label_background_fill_hover": "--f-soft",
    "checkbox_label_background_fill_selected": "--f-soft",
    "checkbox_label_border_color": "--f-edge",
    "checkbox_label_border_color_selected": "--f-accent",
    "checkbox_label_text_color": "--f-ink", "checkbox_label_text_color_selected": "--f-ink",
    "link_text_color": "--f-accent", "link_text_color_hover": "--f-accent-strong",
    "link_text_color_active": "--f-accent", "link_text_color_visited": "--f-accent",
    "error_background_fill": "--f-bad-soft", "error_border_color": "--f-bad-line",
    "error_text_color": "--f-bad", "loader_color": "--f-accent", "slider_color": "--f-accent",
    "code_background_fill": "--f-field", "table_border_color": "--f-line",
    "stat_background_fill": "--f-accent",
}
_SIZES = {
    "block_border_width": "0px", "block_shadow": "none", "block_radius": "0px",
    "block_padding": "0px", "block_title_text_size": "13px", "block_title_text_weight": "550",
    "block_info_text_size": "12px", "block_label_text_size": "13px",
    "input_radius": "8px", "input_padding": "8px 11px", "input_text_size": "14px",
    "input_shadow": "none", "input_shadow_focus": "none", "input_border_width": "1px",
    "button_large_radius": "8px", "button_large_padding": "9px 16px",
    "button_large_text_size": "14px", "button_large_text_weight": "600",
    "button_small_radius": "7px", "button_small_padding": "5px 11px",
    "button_small_text_size": "13px", "button_small_text_weight": "550",
    "button_border_width": "1px", "button_primary_shadow": "none",
    "button_secondary_shadow": "none", "button_cancel_shadow": "none",
    "checkbox_label_padding": "7px 11px", "checkbox_label_text_size": "14px",
    "checkbox_label_gap": "6px", "checkbox_label_border_width": "1px",
    "checkbox_label_shadow": "none", "checkbox_shadow": "none", "layout_gap": "14px",
    "form_gap_width": "0px", "section_header_text_size": "14px",
}


def make_theme() -> Any:
    """Return the theme; light and dark differ only in the values of the variables."""
    theme = gr.themes.Base(primary_hue=gr.themes.colors.indigo,
                           neutral_hue=gr.themes.colors.slate, font=FONT, font_mono=MONO)
    colours: dict[str, str] = {}
    for name, variable in _COLOURS.items():
        colours[name] = f"var({variable})"
        if hasattr(theme, f"{name}_dark"):
            colours[f"{name}_dark"] = f"var({variable})"
    known = {name: value for name, value in {**colours, **_SIZES}.items() if hasattr(theme, name)}
    return theme.set(**known)
