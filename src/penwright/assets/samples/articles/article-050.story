The great bell of St Wulfric's is to be sent away for treatment after a year in which it has gone off with a noise like someone about to speak.

Cast in 1620 and known as Old Patience, it has a note of E flat. Captain of the tower Joyce Medlar, 61, said the change came on gradually. There was first a catch in it, then a clearing of the throat. At a wedding in March it was so like a person trying to get a word in that the groom looked up and said, "Sorry, go on."

The foundry that will do the work looked for cracks with dye and found none. It asked what had been happening in the building lately.

It turned out that the bell had last been rung for its own sake in 1999. Since that time it had been used for the hours, and for other people's occasions.

Before it was taken down last Sunday the ringers gave it forty minutes to itself. They let it say whatever it liked. Those who were listening in the churchyard felt that it began badly, went on to be very funny and ended with something that was nobody's business.

Its voice by that time was clear, and the lorry was sent home.

@highlight

The great bell of St Wulfric's had begun to sound like a cough

@highlight

Experts found no crack, but it had not been rung freely since 1999

@highlight

Forty minutes of ringing for its own sake cured it
