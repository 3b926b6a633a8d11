A customer who has bought a single chip every weekday for thirty-one years was given a whole portion on Friday, and sent most of it back.

Arthur Venn, 83, of Cockle Row, called at the Golden Haddock at a quarter to six, as he does on his walk home. Staff had learned that it was his birthday and had decorated the counter.

Owner Sofia Marino said that Mr Venn began to come in after his doctor told him to give up chips. He had asked whether one would count. Her father, who ran the shop at the time, told him that it would not if he ate it standing up.

Since then the price has gone up from a penny to four pence. Mr Venn has an account, which he settles at Christmas.

Faced with about forty chips at once, he looked them over for some minutes and chose the second from the left. He said it was exactly right and that the rest would only have confused him.

The remaining chips were shared out in the queue. Several people remarked that they had never really looked at one before.

@highlight

Arthur Venn, 83, has bought one chip every weekday for thirty-one years

@highlight

The Golden Haddock gave him a full portion for his birthday

@highlight

He chose one chip and the rest were shared among the queue
