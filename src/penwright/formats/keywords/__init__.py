"""Texts that begin with their keywords, so that a model learns to write to keywords.

    <|startoftext|>~`cats~^my-soul straight~@My little Clementine always ...<|endoftext|>

extract        the keywords of a text: spaCy, YAKE, or a statistic of its own
encode_table   a table -> a file of such lines, in several processes
keyword_file   a file of such lines -> documents
"""
