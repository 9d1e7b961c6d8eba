def watch(show):
    pass
def reset():
    pass
