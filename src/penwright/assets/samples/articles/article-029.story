The sourdough starter at Pascoe's bakery in Gannet Street marked its hundredth birthday on Saturday with a small party, to which it contributed the rolls.

Begun in a jam jar by Edith Pascoe in the spring that she was jilted, it has been fed each day by four generations of the family. It has lived through one war, two floods and a lodger. It is known as Uncle.

Baker Tim Pascoe, 33, said that Uncle had moods. It sulks in thunder and rises higher for brass bands. In 1974 it went flat on the day that his grandfather planned to sell the shop, and the sale fell through.

Guests at the party included people who have raised a jar of their own from it, some of whom had travelled from Canada. The jars were stood in a row along the counter, and by the end of the speeches all of them had leaned the same way.

The mayor proposed a toast. Mr Pascoe explained that this had already been made.

A card signed by four hundred customers was read out to it. Overnight it lifted the lid of its crock, pushed the card aside and came some way down the stairs.

@highlight

The sourdough starter at Pascoe's bakery has turned one hundred years old

@highlight

It was begun by Edith Pascoe in the year she was jilted

@highlight

Guests brought jars grown from it, some of them from Canada
