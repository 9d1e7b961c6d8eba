import streamlit as st

name = st.text_input("Name")
if name:
    st.write(f"Hello, {name}")
file = st.file_uploader("File")
if file:
    st.write(f"{len(file.getvalue())} bytes came")
