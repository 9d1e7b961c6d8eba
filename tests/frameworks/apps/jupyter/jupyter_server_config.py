c = get_config()  # noqa: F821
c.IdentityProvider.token = "secret"
c.JupyterNotebookApp.default_url = "/notebooks/a.ipynb"
c.ServerApp.tornado_settings = {"headers": {"Content-Security-Policy": "frame-ancestors *"}}  # frames may show it
