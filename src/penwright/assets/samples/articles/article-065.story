A racing pigeon which was given up for lost in the Channel race came home on Monday by rail, second class.

Lofty, a blue cock belonging to Stanley Gedge, 72, was released with nine hundred others on the French coast. The winners were back by teatime. Nothing was heard of him for a fortnight.

Guard Pauline Rix saw him get on the 10.14 at Dover. He stood by the luggage rack and, when she came along with the machine, looked out of the window. She let it go, as he was not taking up a seat. He changed at the junction, where he crossed by the footbridge, and waited nine minutes on the right platform.

At Lower Pell he walked out through the barrier behind a woman with a pram.

Mr Gedge clocked him in. His average speed, once the connections had been taken into account, put him in last place by three hundred and thirty hours. He had gained two ounces, and smelled of pasties.

The federation is to meet to decide on whether he has broken a rule. In the meantime he has been seen at the station each morning, near the timetable, with a number of the younger birds about him.

@highlight

A racing pigeon lost in the Channel race returned home by train

@highlight

Lofty changed at the junction and waited on the right platform

@highlight

He came last and the federation may rule on his conduct
