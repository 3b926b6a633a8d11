The 18.03 from Pell Junction was stopped on the viaduct for eleven minutes on Monday so that its passengers could look at the sunset.

Driver Sukhi Grewal, 42, made the announcement as the train drew clear of the cutting. He told passengers he had worked the line for fifteen years, and that he had never until then been early enough. There were eleven minutes in hand, and he proposed to spend them on this.

A hush is said to have fallen in all four coaches. People who had been asleep were woken by those next to them. In the third a businessman took off his tie and hung it on the emergency hammer.

"It was pink, and after that it was no colour I know," reported nurse Abigail Stowe, 30. "There was a lady with shopping who said 'well' every time it changed. She said it nine times."

The train then went on and arrived to the second.

A spokesman for the railway company said that drivers were not authorised to stop for scenery. He was asked if there had been any complaints. There had been one, from a commuter who had sat on the wrong side, and who wanted to know when they would be doing the moonrise.

@highlight

A train stopped on a viaduct so that passengers could watch the sunset

@highlight

Driver Sukhi Grewal had eleven spare minutes and arrived exactly on time

@highlight

The only complaint came from a commuter on the wrong side
