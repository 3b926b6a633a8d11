The quiz at The Second Attempt was won on Tuesday by a team that got every question wrong in the same way.

The Loose Ends, four friends from the timber yard, scored no marks out of fifty. The runners-up had forty-four. But landlady Beryl Croft, 48, who was marking, began to notice as she went on that the answers had something in common.

Asked for the capital of Peru, they put "a heron". For the inventor of the lift they wrote "the same heron". By question thirty the bird had been to sea, lost a brother and opened a hardware store. The tie-break was set in its old age.

Mrs Croft read the paper out from start to finish over the microphone. It took twenty minutes, and the bar staff stopped serving. When she came to the last line there was a silence, followed by a sound that a regular compared to a roof coming off.

The other teams agreed to give up the prize, a leg of pork. The Loose Ends said that they had not planned it. Nobody had known the first one and it grew from there.

A second part is promised for next week.

@highlight

A pub quiz was won by a team that got every answer wrong

@highlight

The Loose Ends' fifty answers told the life story of a heron

@highlight

Other teams agreed to give up the prize of a leg of pork
