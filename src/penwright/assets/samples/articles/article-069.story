The shadow of St Wulfric's tower has been let to a firm of ice cream makers for the summer months.

It falls from the churchyard across the market place between eleven and two, and has always been popular with people who have shopping. Churchwarden Basil Thring, 70, thought of renting it out when he was told the cost of the new gutter.

The firm, Dolci of Pell Magna, pays twelve pounds a day. For this they may keep their cart in the cool and follow it round. The shade goes at about a yard every four minutes, and the vendor, Luca, 19, has worn a curved path in the cobbles.

There have been some problems. On a dull Wednesday it failed to appear, and Mr Thring had to give a refund. A greengrocer has complained that it now smells of pistachio. The weathercock at its tip passes over the steps of the bank at noon, and several customers have been seen to duck.

Still, the gutter is half paid for. The parish is in talks about its echo, and a photographer has asked the price of the view from the vestry.

Mr Thring said that night, which is only a very large one, would remain free of charge.

@highlight

The shadow of St Wulfric's tower is being rented by an ice cream firm

@highlight

The cart follows the shade across the market place for twelve pounds a day

@highlight

The income will help to pay for a new church gutter
