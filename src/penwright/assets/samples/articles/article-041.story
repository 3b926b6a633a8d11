The telephone in the old red box at the top of Chapel Street has been ringing each evening at seven, and residents have set up a rota to answer it.

The line was cut off in 2009. Engineer Paul Dakin has twice confirmed that no wire comes out of the back. It rings regardless, nine times, and then waits.

Schoolgirl Tamsin Rudd, 12, was the first to pick it up. She heard an old lady who asked whether she had eaten. On being told about the fish fingers, the caller said that was good, and was she warm enough, and rang off.

Since that day the telephone has asked after forty-one people. It knows a few of them by name. A builder, who did not want to give his, was told that he had been a kind little boy, and sat down afterwards on the kerb.

Nobody has recognised the voice, though everybody says it is like somebody.

Tamsin keeps the list. There is a gap for a week on Thursday, and a coat and a torch will be provided. Volunteers are asked only to be truthful about what they have had for dinner.

@highlight

A disconnected telephone box in Chapel Street rings at seven each evening

@highlight

An old lady asks whoever answers if they have eaten and are warm

@highlight

Residents have organised a rota to pick it up
