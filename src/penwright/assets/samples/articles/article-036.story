Two rival glove shops in Cockle Row have called a truce after forty years, on discovering that one of them sells only left hands.

Brothers Cedric and Maurice Hobday quarrelled over their father's will in 1983. He had left "the glove business" to be divided equally between his sons. As neither would speak to the other, a solicitor split the stock down the middle of each pair.

Customers who went into Cedric's shop have always had to cross the road to Maurice's. Both men believed that they were simply bad at arithmetic, and that people were very forgiving.

The facts came out when a visitor, Angela Swift, 29, asked in a clear voice why she could not get two of the same thing in the same place.

Cedric put on his coat, went over the street for the first time, and held out a hand in a tan calfskin. His brother was wearing the other one.

They have knocked the shops into one by means of a rope with a basket on it. Mr Hobday the elder said business had doubled, although he did concede that it might only look like that.

@highlight

Two brothers' glove shops in Cockle Row sold only one hand each

@highlight

A solicitor had divided every pair in 1983 after they quarrelled

@highlight

A customer's question led the Hobday brothers to make peace
