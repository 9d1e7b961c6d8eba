def bundle(value, charts):
    return {"text/plain": repr(value)}
