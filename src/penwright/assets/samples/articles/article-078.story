The barometer in the hall of Lower Pell Constitutional and Reading Rooms has been found to be measuring the mood of the members.

A brass instrument in a case of mahogany, it was the gift of a sea captain. It had been consulted for over a century as to rain, with poor results. Steward Albert Flood, 64, was dusting it on the evening of the annual general meeting when he saw the needle go right round to Stormy and stick there. The sky outside was clear.

He began to keep notes. It rose for birthdays. It fell when a certain major came in, and on the night the billiard table was re-covered it stood at Set Fair until the first tear.

In October it dropped to the lowest point on the dial for no cause that anybody could see. Mr Flood looked about the smoking room. There were nine men behind newspapers, and old Mr Gidding, who was smiling at the fire.

He went over and sat by him. Mr Gidding's dog, it came out, had died at the weekend, and he had not liked to bring it up.

The needle lifted by a hair. There is now a rule that, when it is low, somebody must ask.

@highlight

A club barometer responds to members' feelings rather than to the weather

@highlight

Steward Albert Flood noticed it fall when one member was grieving

@highlight

Members must now ask what is wrong whenever the needle is low
