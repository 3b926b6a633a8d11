An unknown person has put a coat on the mermaid at the end of the harbour wall, and has come back twice to alter it.

The figure, by a local sculptor, has sat on her rock with nothing on since 1963. Swimmers who passed her at first light on the second of November saw that she was in a navy duffel with wooden toggles, done up to the chin.

It had been made to fit, said dressmaker Jessamy Orde, 57, who went out in a dinghy to look. There is a cut at the back to take the tail, faced in satin. The pockets are deep and are at the right level for her hands, which are held in front of her and had always looked, now that one thought of it, as if they were cold.

On the ninth the sleeves were let down by half an inch. On the fifteenth a hood was added. Nobody was seen to go by.

Letters to this newspaper have run at nine to one in favour. A lone reader felt that it spoiled the art. The sculptor, Miss Ada Trew, is 93, and was shown a photograph.

She told us that she had wanted to give her one at the time, but that it had been a very mean committee.

@highlight

A mermaid statue on the harbour wall has been given a duffel coat

@highlight

An unknown maker has returned twice to lengthen sleeves and add a hood

@highlight

Sculptor Ada Trew, 93, said she had wanted a coat from the start
