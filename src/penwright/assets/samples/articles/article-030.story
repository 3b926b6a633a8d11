The last keeper of Pell Head lighthouse has been going back in the evenings to read to the lamp.

Ewan Strachan, 78, retired in 1996 when the light was made automatic. He says he was content to leave it until last autumn. From his kitchen, two miles off, he noticed that the beam was coming round a little late.

"Only half a second," he said. "But I worked with it for twenty-nine years. You get to know when somebody's low."

He let himself in with a key that he had forgotten to hand over, climbed the hundred and forty steps and sat down with a seafaring novel. He had finished one chapter when the flash returned to its proper time.

An official of the lighthouse service arrived to ask for the key. He was given a chair, and stayed until they had reached the mutiny.

Mr Strachan is now on the payroll as a contractor for two hours a week. He reads from eight until nine on Tuesdays and Fridays, and ships' officers have reported that the light is very steady then, except at the exciting parts.

He intends to try it with poetry during the longer nights.

@highlight

A retired lighthouse keeper reads novels to the lamp at Pell Head

@highlight

Ewan Strachan noticed from home that the beam was half a second late

@highlight

The lighthouse service now pays him for two hours a week
