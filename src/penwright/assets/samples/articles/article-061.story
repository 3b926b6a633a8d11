One of nine wind turbines on Pell Down has begun to turn in the opposite direction from the rest, and is making more electricity than any of them.

Number 6, which the engineers call Gerald, changed over on a still night in July. Technician Rhona Beattie, 37, was sent up the inside with a spanner. She could see nothing out of place, and put it back to go clockwise. Gerald waited until she had driven to the gate.

Tests suggest that the machine is running on the wind that the others have finished with. It also turns when there is none. On one such afternoon, Ms Beattie found a ring of about thirty sheep lying round the foot of the tower, breathing out together.

Farmer Wilf Entwistle said they had always been a close flock.

The power company intends to leave things as they are until the end of the year. There is some feeling among the staff that it ought not to be encouraged. On Monday, number 7 was seen to stop, and to think, and to go a quarter of the way back.

The surplus is enough for sixty homes. Householders on that circuit report that their clocks are right and their kettles hum.

@highlight

A wind turbine on Pell Down is turning in the opposite direction

@highlight

Number 6, called Gerald, makes more power than the other eight

@highlight

Sheep have been seen breathing together at the foot of its tower
