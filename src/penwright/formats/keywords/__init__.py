"""Texts that begin with their keywords, so that a model learns to write to keywords.

    <|startoftext|>~`cats~^my-soul straight~@My little Clementine always ...<|endoftext|>

extract     the keywords of a text: spaCy, YAKE, or a statistic of its own
encode      a table -> a file of such lines, in several processes
reader      a file of such lines -> documents
"""
