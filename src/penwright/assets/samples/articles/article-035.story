A hat that blew off on the promenade in a gale six years ago came back to its owner on Thursday in another gale, from the opposite direction.

Accountant Barry Plumstead, 51, was walking to work when a brown felt trilby struck him in the chest. He recognised the feather. His initials were inside, along with those of four other people.

From what he has been able to piece together, the hat went first to a farmer in Jutland, who wore it to two weddings. It was blown from him on a ferry and found by a Dutch schoolteacher. A tram driver had it for one winter. The last to own it was a widower in Hull, who had written on a slip of paper tucked in the band.

The note said that he had gone out in it on the first day that he felt able to, and that if it should ever blow off he would be glad to think it was needed elsewhere.

Mr Plumstead told us that it was in far better shape than when he had lost it. He wears it to the office with the string loose. He would not say why.

@highlight

A trilby lost in a gale six years ago was blown back to its owner

@highlight

It had been worn by four other people, including a farmer in Jutland

@highlight

A note from a widower in Hull was tucked in the band
