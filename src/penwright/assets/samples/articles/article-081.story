A time capsule dug up at Lower Pell town hall on its due date contained a polite request to put it back.

The lead box was buried below the front step in 1924 with orders that it was to be opened in a hundred years. Some three hundred people turned out to watch on Monday. Mr Okafor, who had charge of the key, counted the locks, of which there were four, and the hinges.

Inside lay one envelope, with the seal of the mayor of the day, Josephus Banner. Councillor Ada Finch read it out.

It said that the committee had met on nine evenings to choose what to send. They had thought of a newspaper, coins and a hat. On the last of these nights it was felt that people in the future were bound to be tired, and to have enough things, and might like it better if they were given something to look forward to.

"Kindly add a line of your own," the letter concluded, "and bury it again."

The crowd was quiet, then somebody clapped. Councillor Finch wrote for a minute, and would not show what she had put. The step was back in place by four. The next opening is in 2124, and Mr Okafor has it in his diary.

@highlight

A time capsule buried in 1924 held a letter asking to be reburied

@highlight

The committee of the day had wanted to send something to look forward to

@highlight

A new line was added and it will be opened again in 2124
