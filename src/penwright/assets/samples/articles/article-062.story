A spaniel who has been to every lecture of a three-year course in marine biology was given a degree on Saturday, with honours.

Bramble belongs to student Kate Ridout, 22, of Harbour Street, who could not leave him at home. He sat in the front row at Pell College with his chin on the desk. Tutors got used to addressing their remarks to him, as he was the only one who never looked at a phone.

Professor Edmund Lisle said it was his practice to ask, at the close of each talk, whether all that was clear. If it was not, Bramble would put his head on one side. He would then explain it again. The average mark of the whole year has gone up by twelve per cent.

In the practical, he found a species of sand worm that had not been recorded on this coast. He rolled in it, but the specimen could still be identified.

At the ceremony the hall stood. He wore a hood in blue silk and carried the scroll as far as the steps, where he buried it.

Ms Ridout got a second. She said that she had no hard feelings, since he had worked for it and she had borrowed his notes.

@highlight

A spaniel was awarded a degree in marine biology at Pell College

@highlight

Bramble attended every lecture and helped to raise his year's marks

@highlight

He found a sand worm that was new to this coast

@highlight

His owner Kate Ridout took a second-class degree
