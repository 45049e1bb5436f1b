"""The yardstick: a Gradio app with one textbox. ``python bench/bare_gradio.py PORT``."""

import sys

import gradio as gr

with gr.Blocks() as demo:
    gr.Textbox(label="Text")

demo.launch(server_name="127.0.0.1", server_port=int(sys.argv[1]), quiet=True)
