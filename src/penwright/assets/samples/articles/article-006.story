Visitors to the Pell Caves are being advised to allow extra time after the echo there was found to be running late.

The echo has been a popular attraction since Victorian days. It used to answer in about two seconds. Guides noticed in May that it was taking nearly a minute, and last week a party of schoolchildren received their replies on the coach home.

Geologist Dr Anneka Rowe spent three days in the largest chamber with a stopwatch and a small bell. She could find no change in the rock. In her opinion the echo had begun to think about what was said to it.

"People shout hello, and it comes straight back," she said. "But if you ask it something difficult, you should bring a sandwich."

Her own question, put on Monday afternoon, was answered late on Wednesday. She would say only that it had been fair.

Admission now includes a card on which visitors can leave an address. Any echoes that come in after closing time will be written down and sent on by second-class post.

@highlight

The echo at Pell Caves now takes up to two days to reply

@highlight

A geologist found no change in the rock and says it is thinking

@highlight

Late echoes will be written down and posted to visitors
