A game of bowls which began on Friday afternoon reached a result at ten past six on Monday morning.

The final of the Pell and District Pairs was expected to last two hours. It was level after the last end, and the rules, written in 1903, say that play must go on "until one side is sorry".

Alf Denby and Ray Cuthbert, of Lower Pell, faced sisters Margot and Vi Lister, of Pell Magna. The four have a combined age of 322. Car headlights were used after dark, and soup was brought in by relays of relatives.

On Saturday the jack was carried off by a dog and returned with an improvement in its roll. On Sunday there was a break for church, at which both teams were prayed for in general terms.

Umpire Noreen Fitch said that the standard of play was never higher than at about four that night. "You couldn't see the bowls," she said. "You could only hear them being right."

It ended when Mr Denby trod on Vi Lister's foot and said that he was sorry. The trophy was awarded to the sisters. All eight knees have since been rested.

@highlight

A bowls final ran from Friday afternoon until Monday morning

@highlight

An old rule said play must go on until one side was sorry

@highlight

Alf Denby lost the match by apologising for treading on a foot
