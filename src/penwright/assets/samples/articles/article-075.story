The annual tug of war between Lower Pell and the sea was won on Saturday by Lower Pell, for the first time since it was started in 1888.

One end of the rope is held by twenty residents on the slipway. The other is made fast to a barrel and thrown in on the ebb. In each of the earlier contests the team has ended up wet.

Captain Peg Sumner, 52, put it down to training on the part of her side, and to a want of concentration in the other. The barrel was going steadily out when it seemed to hesitate. There was a basking shark off the point at the time with a calf, and it is thought that the sea might have been looking.

With nothing to pull against, the team went up the slipway backwards and through the door of the Anchor, where they took nine tables with them.

The committee found that no provision had been made for a victory. There was no cup. In the end they gave Mrs Sumner the barrel.

She had it rowed out on Sunday, full of cider, and tipped over the side by way of no hard feelings. High water that night was a foot above the tables, and came up Harbour Street, swaying.

@highlight

Lower Pell beat the sea at tug of war for the first time

@highlight

The sea may have been distracted by a passing basking shark and calf

@highlight

The team gave the sea a barrel of cider the next day
