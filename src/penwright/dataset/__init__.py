"""Files or stores that a user names -> a token store, divided into training and held-out splits.

training       the data of a run: opened, and split into training and held-out documents
training_text  the training text of a run, indexed for search
store_cache    files -> a token store, kept in a cache under a fingerprint
distributed    files at addresses -> parts of a token store, each made by a worker where it is
remote_store   token stores at addresses: written, and downloaded to be used
packed         a token store as one .zip file
tasks          documents -> prompts and the texts that follow them; a text -> its fields
"""
