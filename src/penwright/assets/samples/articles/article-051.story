Two old friends have finished a game of chess which they began by post in 1979.

Retired trawler cook Alec Horn, 81, and shepherd Donald Nairn, 84, met at a bus station and fell into talk about openings. They had time for three moves. Mr Nairn's bus came in, and they swapped addresses.

They have sent each other one card a fortnight ever since. On each was written a move, and beneath it, in smaller letters, how things were. In this way they have told one another of seven grandchildren, two funerals, a flood and a great number of sheep.

The game ought to have ended in 1988. Mr Horn could have taken the queen in that year, and saw it at once, but his friend's wife was ill, and it did not seem to be the moment. He moved a pawn instead. Mr Nairn had noticed, and left a rook standing about in 1994 by way of thanks.

They have both avoided winning for three decades. It took great skill, according to a grandmaster who went over the score.

On Sunday only two kings were left. It was a draw. They set out the board again by telephone, and Mr Horn opened with the same pawn.

@highlight

A postal chess game begun in 1979 has ended in a draw

@highlight

Both players avoided winning for decades out of kindness

@highlight

They have already begun another game with the same opening
