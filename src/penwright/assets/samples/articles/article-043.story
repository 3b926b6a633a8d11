Services at St Wulfric's have been held to a steady hum since Whitsun, when sixty thousand bees moved into the organ.

They came down through a gap in the roof during a baptism and went into the bass pipes. Beekeeper Hetty Vance, 64, offered to take them off in a box. She changed her mind on hearing them.

Each pipe, she explained, gives out a drone at its own pitch. The swarm has spread itself among them by size, with the largest in the longest. When the sun comes in by the south window, and the bees grow lively, the building plays a chord that nobody has been able to name.

Organist Lionel Frome, 75, admitted that he had been put out at first. He now leaves them the lower half and plays the upper. He has had to slow down for the hymns, as they will not be hurried, and there is a verse in the middle that he does not recognise but would not be without.

Honey from the pipes was sold at the church door last Sunday in four flavours, of which the one labelled G was the most popular.

There have been no stings, except during the sermon on thrift.

@highlight

Sixty thousand bees have moved into the organ of St Wulfric's church

@highlight

They hum at a different pitch in each of the bass pipes

@highlight

The organist now plays only the upper half and lets bees do the rest
