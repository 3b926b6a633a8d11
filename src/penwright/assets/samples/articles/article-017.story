Two street lamps in Saltmarsh Road have been leaning towards each other by about an inch a year, an engineer has told the lighting committee.

Numbers 8 and 9 were put up on opposite pavements in 1977. They were straight at the time, according to the drawings. By this spring the distance between the tops had closed from twenty feet to sixteen and a half.

Frank Osei, who looks after the town's lights, first put it down to soft ground. He tested the footings and found them to be solid. He also noticed that neither will come on until the other does.

When the bulb in number 9 failed in March, number 8 went out for six nights although nothing was wrong with it.

The committee was advised that both should be straightened at a cost of nine hundred pounds. Members asked how long it would be before they touched, and were told about a hundred and ninety years.

Councillor Ada Finch said that she did not see what the hurry was. The money will be used for a bench midway between them, from which most of the road can be read by.

@highlight

Two street lamps in Saltmarsh Road are leaning towards each other

@highlight

Neither lamp will come on until the other one does, an engineer says

@highlight

Councillors decided to buy a bench instead of straightening them
