Postman Gareth Lowe rowed out to the middle of Pell Reservoir on Thursday to deliver a letter to a house that has been under water since 1958.

The envelope was addressed to Miss E. Farrow, Weir Cottage, Nether Pell. The village was flooded to make the reservoir, and its people were moved elsewhere. Sorting office staff planned to send it back, but there was no name on the other side.

Mr Lowe, 36, said the rules were clear that mail should be taken to the address. He found the position by lining up an old map with the church spire, which still shows when the water is low.

He tied the letter to a fishing weight, let it down on a line, and waited for a decent interval in case there was a reply.

Something pulled twice. When he wound the line in, the letter had gone, and in its place was a sixpence wrapped in weed. The postage had been two pence short.

The sixpence has been paid in, and change is owed. Mr Lowe intends to take it on his next round, if the wind drops.

@highlight

A postman rowed out to deliver a letter to a house under a reservoir

@highlight

The village of Nether Pell was flooded in 1958

@highlight

He lowered the letter on a line and got back a sixpence for postage due
