"""Files or stores that a user names -> a token store, divided into training and held-out parts.

training      the data of a run: opened and split as `finetune` does it
store_cache   files -> a token store, kept in a cache
packed        a token store as one .zip file
splits        a store -> training and held-out split, mixed and freed of leaks if asked for
schema        fields that a template joins, found again in a text
tasks         documents -> prompts and the texts that follow them
"""
