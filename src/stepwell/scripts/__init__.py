"""Reading script files.

`folder` finds the files that count for a database and gives each as a `script.Script`; only the front matter is read
at once. When the statements are wanted, the file's format (`native`) has `splitter` take the text apart.
"""
