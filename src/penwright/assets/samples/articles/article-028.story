A piano that was washed up at Pell Sands in the March gales can be played only at high water, a tuner has established.

The instrument, a walnut upright with brass candle holders, came ashore on its feet. Dog walker Annie Rusk found it standing at the edge of the waves with its lid up. She pressed a key and got nothing but a small quantity of sand.

Tuner Leopold Haas, 59, was asked to look it over with a view to moving it. He was at work when the tide came in around the pedals. At that point, he said, every string spoke at once, and it was in better tune than any piano in the county.

It has since been left where it is. Players come down at all hours with a tide table and rubber boots. They have about forty minutes before the water reaches the keys, and many say they have never practised so hard.

Only slow pieces suit it. Anything in a march time is answered by a larger wave.

Last Thursday at three in the morning, with nobody on the beach, a night fisherman heard it played for an hour. He described the style as flowing.

@highlight

A walnut piano washed up at Pell Sands in the March gales

@highlight

It makes a sound only when the tide is round its pedals

@highlight

A fisherman heard it being played at night with nobody there
