Firefighters were called to an ash tree in Mill Lane on Sunday to fetch down a cat, and an hour later she was called on to fetch down a firefighter.

The animal, a tabby named Duchess, had been up there since dawn. Leading hand Craig Bullen, 27, climbed to the fork with a bag. At forty feet he looked at the ground for the first time in his career, and found that he was not able to let go.

His crew talked to him from below. A ladder was offered. He told them, in a high voice, that he was fine where he was and might stay.

It was then that Duchess, who had come down by herself to see what the noise was about, went back up. She sat on his shoulder for a few minutes. She then began to descend one branch at a time, turning round at each of them to see if he was coming. He was.

Station officer Bridget Foley said that it was as good a piece of rope work as she had ever seen, given there was no rope.

Mr Bullen has asked to be put on fires for a while. Duchess has been given a helmet, and has slept in it.

@highlight

A firefighter froze forty feet up a tree while rescuing a cat

@highlight

The cat led him down from branch to branch

@highlight

Duchess the tabby has been given a helmet by the crew
