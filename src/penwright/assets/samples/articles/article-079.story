A shed made from eleven doors and a bus has been declared a building of national interest, to the dismay of the man who was about to take it down.

Cyril Hopcraft, 80, put it up on plot 17 of the Sallow Lane allotments over one weekend in 1969. He had been intending to do it properly when he got the time. It leans to the north and is held, he thinks, by the beans.

Inspector Dr Philomena Gray happened on it while looking for a public convenience. In her report she calls it "the last untouched example of the Bodged style", and draws attention to a window which opens only if you first shut the kettle.

The listing means that Mr Hopcraft may not alter anything without consent in writing. He has been told to put back a nail. Parties of students come on Thursdays and ask him about his influences, which were rain and Mrs Hopcraft.

He had bought a new one, in a kit, with a guarantee. It will have to go up behind.

The kit has no instructions for page four. He was seen on Sunday with a bus seat under his arm, and an expert has been asked to stand by.

@highlight

A shed made of eleven doors and a bus has been officially listed

@highlight

Cyril Hopcraft, 80, was about to demolish it on his Sallow Lane allotment

@highlight

He may not change it and has been told to replace a nail
