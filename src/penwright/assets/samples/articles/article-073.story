A biscuit tin that holds four hundred milk teeth has been returned to the people who grew them, at a reunion in the hall of the old Board School.

They were kept by the dinner lady, Mrs Queenie Marsh, between 1965 and 1989. A child who lost one in a toffee apple would be given a peppermint in exchange. Each tooth was put in an envelope with the date and a few words.

Her niece, Gaynor, came upon the tin while clearing a cupboard. Mrs Marsh, who is 96 and lives at Seaview Court, said that she had always meant to get round to it.

A hundred and twelve former pupils came. Solicitor Hugo Park, 53, opened his to read, "Brave about it. Cried later, behind the bins. Should be told that it was all right to." He was not able to make his speech.

A builder learned that he had whistled through the gap for a term. A magistrate found that hers had been knocked out by the builder. They have arranged to have lunch.

Some eighty envelopes have not been claimed. Mrs Marsh would like it known that she remembers every one of them, and there are peppermints.

@highlight

A dinner lady kept four hundred milk teeth from pupils in a tin

@highlight

Each was in an envelope with a date and a note about the child

@highlight

More than a hundred former pupils came to a reunion to collect theirs
