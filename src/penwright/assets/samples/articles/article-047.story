Two public houses which have not been on speaking terms since 1951 have been joined by a tunnel, and a mole is thought to be responsible.

The Plough and The Ploughman stand back to back in Sheep Street. Regulars of the one do not drink in the other, for a reason that has been forgotten but is felt strongly.

On Friday evening, Ernie Wick, 70, leaned on the wall beside the fireplace in The Plough and went through it. He came out by the dartboard of The Ploughman with earth in his ears, said "good evening" before he could stop himself, and was bought a half.

Zoologist Dr Lena Moss has examined the passage, which is four feet high, well drained, and has alcoves. She said that moles do not, as a rule, put in a handrail. The only prints were a mole's.

Landlord Vic Chubb and landlady Rose Amery have agreed to a trial period. A lamp has been hung at the halfway point, under which persons from either side are permitted to nod.

There were nine nods on Saturday and a handshake on Sunday. By Tuesday a small table had been put there, with a saucer of worms and a card that said Thank You.

@highlight

A tunnel has been found joining two pubs that feuded since 1951

@highlight

Ernie Wick fell through a wall from one bar into the other

@highlight

Only a mole's prints were found, although the passage has a handrail
