A cloud that has occupied the disabled parking bay outside Lower Pell library since February has been told that it may stay, provided that it displays a permit.

The decision was reached on Tuesday after an inspection by Priya from Highways, who visited the bay with a ladder. She found that the cloud was unable to rise above four feet on damp mornings and that it needed to be near the door.

"It qualifies," she said. "I should have asked it in the first place instead of giving it tickets."

The cloud had been fined nine times. All of the fines have been cancelled, although the paper had already dissolved. Mr Okafor, the treasurer, said that he would be entering the loss under "precipitation".

Library staff believe that the cloud first came for the Thursday book group, which meets beside an open window. Its leader, Joan Pettifer, 67, said it was a good listener but tended to fill up at sad endings.

The group has agreed to read only comedies until the carpet has dried out. The permit has been laminated and tied on with string.

@highlight

A cloud has been granted a permit for the disabled bay outside the library

@highlight

Nine parking fines have been cancelled after Highways inspected it with a ladder

@highlight

Staff believe that the cloud came to listen to the Thursday book group
