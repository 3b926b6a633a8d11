A motorist was guided off the Fiveways roundabout by police on Tuesday night after going round it since breakfast.

Desmond Pratt, 57, a supply teacher, had intended to take the third exit. He said that on each occasion there was somebody behind him who looked as though they were in more of a hurry, and so he went round again.

Workers in the nearby carpet warehouse noticed his small blue car at about eleven. By lunchtime they were waving, and at two o'clock one of them ran alongside and passed a sandwich in through the window.

Petrol was brought to him by a cyclist. He was able to follow an entire test match on the radio.

Sergeant Lorna Pym said that Mr Pratt had committed no offence and that his signalling was a pleasure to watch. She drove in front of him with her blue light on and held back the traffic until he had gone.

He got home at twenty past nine. His wife said that she had not worried, since he had once been eight hours in a revolving door. Mr Pratt has been presented with a map on which the junction is left out.

@highlight

Desmond Pratt drove round the Fiveways roundabout from breakfast until night

@highlight

He kept letting other drivers go first because they seemed hurried

@highlight

Police praised his signalling and stopped the traffic to let him off
