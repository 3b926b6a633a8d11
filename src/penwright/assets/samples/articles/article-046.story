A portrait in the council chamber has grown noticeably older since it was last cleaned, a conservator has told members.

Alderman Jeremiah Stoke was painted in 1834 at the age of fifty. Photographs taken before the war show a man with a full head of dark hair. When Dr Ines Carvalho got up on a stepladder this month to wipe his face, she found him to be grey, with spectacles.

The glasses are in oils, and of a type sold at the chemist's in the high street.

Dr Carvalho compared the picture with those on either side. They had not altered. The alderman, though, hangs straight across from the clock and has a clear view of the public gallery. He has been present at something over nine thousand meetings.

"He has been listening," she said. "It would take it out of anyone."

On her advice he has been sent to a farmhouse in the hills for three months, where he will face a window with sheep in it. The nail is being rested too.

A card has come from the farmer's wife, who says their guest has settled in. She thought the frame felt lighter. He had lost the glasses, and there was something on his upper lip that could be milk.

@highlight

A portrait of an alderman in the council chamber has visibly aged

@highlight

A conservator blames the nine thousand meetings he has looked down on

@highlight

He has been sent to a farmhouse for three months to recover
