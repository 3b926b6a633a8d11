A skittle at the Railway Bowl has not been knocked down for two years, and players have stopped trying.

The pin stands at the back on the right of lane five. It was put in new in the autumn before last, said owner Bobby Trask, 61, and is the same as all the rest in weight and varnish. On that first night it was left by eleven bowlers in turn.

It has been hit. Kelly Drummond, 26, who throws for the county, has struck it full on at twenty miles an hour. It rocked back, it went round on its rim, it leaned over so far that the machine put in for a strike. It then, as she described it, changed its mind.

A crowd used to come on Saturdays. There was a prize, which had got up to four hundred pounds. But in the spring a boy called Aaron, who had been having a rough year, asked if he could go down there and just stand by it. He stayed for some time.

Since then it has become the custom to roll to the left on lane five. People who have had bad news take their turn and leave it up.

The money has been spent on a small brass rail.

@highlight

One pin at the Railway Bowl has not fallen in two years

@highlight

A county player hit it full on but it rocked and stood up

@highlight

Customers now leave it standing and its prize money bought a rail
