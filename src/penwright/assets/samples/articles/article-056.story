A man who set out in January to trade a single button for something better has ended up with a rowing boat, and would quite like to have the button back.

Unemployed plasterer Joe Tulley, 31, took it from his good coat. A woman on the bus gave him a thimble for it. The thimble went for a jar of jam and the jam for a clock with one hand, and after that matters moved quickly.

In the course of thirteen swaps he owned a ladder, a goat, a share in a racing greyhound and, for one afternoon, a hearse. The goat was the only one that he was sorry to part with.

He collected the boat in August from a retired dentist who was moving inland. It is painted blue and is called Patricia. He rowed it round the bay that same night.

Mr Tulley was to start a job on the Monday, and put on his coat. It would not do up. He looked for the woman on the bus for a week, and found her on the 14 with the button sewn to a child's jacket, as an eye for a bear.

He let it be. He takes the two of them out on Sundays, and goes to work with his coat open.

@highlight

Joe Tulley traded a button for a rowing boat in thirteen swaps

@highlight

Along the way he owned a goat, a ladder and briefly a hearse

@highlight

He then needed the button, but it had become a bear's eye
