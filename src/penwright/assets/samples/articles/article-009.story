Residents have voted to spend a spare hour, which was discovered in the town hall clock last month, on a Sunday afternoon in September.

The hour came to light when the clock was taken down for cleaning. Horologist Bernard Quill, 70, says the mechanism has been running a fraction slow since 1894, and that small amounts of time had collected behind the face, where they could not get out.

He put them together on his bench and found that they made sixty-one minutes. One was lost when he sneezed.

A public meeting heard eighteen suggestions. The football club wanted it added to a match that they lost in March. Old Tom Bell objected to its being used at all, saying that it ought to be kept for an emergency.

The motion that passed came from Nell Harty, aged nine, who proposed that it should go between three o'clock and four on a Sunday "so there will be two of them, and then it isn't nearly Monday".

Shops will be closed for the second three o'clock. Roast dinners should be timed accordingly, the council has warned.

@highlight

A spare hour was found behind the face of the town hall clock

@highlight

Residents voted to add it to a Sunday afternoon in September

@highlight

The winning idea came from nine-year-old Nell Harty
