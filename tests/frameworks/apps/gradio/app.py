import os

import gradio

gradio.Interface(lambda name: f"Hello, {name}", "text", "text", flagging_mode="never").launch(
    server_name="0.0.0.0", server_port=int(os.environ["PORT"]))
