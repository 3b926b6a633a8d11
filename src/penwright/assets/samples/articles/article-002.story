Commuters on Gannet Street have asked the county to find out why their bus stop is forty feet further along the road than it was at Easter.

The stop, which serves the number 14, was put up outside the chemist in 1986. Passengers first noticed a change in April, when it was seen to be standing by the shoe repairer. By last weekend it had reached the door of Pascoe's bakery.

Nobody has seen it move. Retired surveyor Len Abbot, 74, has been marking the pavement in chalk each night at ten. He says that the stop travels between six and nine inches while the town is asleep, and a little more on Fridays, when Pascoe's makes saffron buns.

"There are no tracks," Mr Abbot said. "It is simply somewhere else in the morning, looking as if it had always been there."

The driver of the first bus, Carol Hames, said she did not mind. She has begun to stop at the bakery anyway.

County engineers will bolt the post down in July. A petition against the bolts has gathered 212 names.

@highlight

The Gannet Street bus stop has moved forty feet since Easter

@highlight

It travels several inches each night toward a bakery, a retired surveyor says

@highlight

County engineers plan to bolt it down, but 212 people have signed against it
