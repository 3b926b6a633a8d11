Forecaster Nigel Ashdown has gone from house to house in Upper Pell to say sorry for the weekend of the fete.

Mr Ashdown, 44, who gives the outlook on Pell Community Radio, had promised sunshine. In the event there were four inches of rain, and the cake stall was last seen passing the post office.

He had got through about a third of the village by Monday night. Most people were kind. Some showed him their carpets. At Ivy Cottage he was made to sit down by Mrs Olga Brent, 90, who told him that she had not enjoyed a day so much since the coronation.

It seems that when the tents went, everyone took shelter in her front room. There were fifty-two of them, and the vicar in a tub. The raffle was drawn from a hot water bottle cover. Two brothers who had not met for years were put on the same stool.

The fete made less than usual, but a date has already been fixed for the next one.

The village has written to Mr Ashdown to ask what he thinks the weather will be, and to say that whatever it is, they would like the opposite.

@highlight

Forecaster Nigel Ashdown has visited homes to apologise for a wrong forecast

@highlight

He promised sun, but the Upper Pell fete was washed out

@highlight

Villagers sheltered in one front room and enjoyed it more than usual
