Eighteen wheelie bins broke loose in Tuesday's high winds and raced down Castle Hill, and a resident has now published the results.

Retired bookmaker Solly Marks, 76, was at his window at number 2, close to the foot of the slope. He had taken down the house numbers as they went by before it came to him that nobody had asked him to.

First past the post box was the green bin of Mrs Everard, of number 61, in a time he gave as forty-four seconds. It had been cleaned that morning, and Mr Marks believes that this was decisive. Number 19 led at the bend but stopped to let out a cat.

The most unlucky was number 33, a brown one, which fell at the chapel with a full load of grass and finished on its side.

Mrs Everard, 84, was told of her win on the doorstep. She has never won at anything in her life, she said, and she asked to have it repeated for her sister on the telephone.

There were no injuries. Next week's collection has been put back by an hour, as several people are known to be oiling their wheels, and Castle Hill has asked for a grandstand.

@highlight

Eighteen wheelie bins raced down Castle Hill in high winds on Tuesday

@highlight

A retired bookmaker recorded the order in which they passed his window

@highlight

Mrs Everard's clean green bin won in forty-four seconds
