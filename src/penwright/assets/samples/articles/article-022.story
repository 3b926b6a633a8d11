The tenants of beach hut 14 have been asked to explain how they came to have nine people to stay.

Wooden huts on the North Promenade measure eight feet by six, and sleeping in them is against the rules. Inspector Malcolm Tidy called on Saturday after neighbours heard somebody running down a corridor.

The door was answered by Rosalind Beech, 66, a retired milliner. She invited him in for a cup of tea. Mr Tidy stated in his report that he passed through a sitting room, a music room and a small conservatory before he reached the kettle.

He went outside and measured the hut again. It was eight feet by six. He went back in and was shown an orchard.

Mrs Beech told him that it had been an ordinary hut when she took it on in 1998, but she had always kept it tidy, and it was surprising how much room that made. Her grandchildren, who were staying, had yet to find the end of the landing.

The council has decided that no rule covers the matter. The rent will remain at two hundred pounds a year. A waiting list for hut 14 has 3,000 names on it.

@highlight

Inspectors visited beach hut 14 after reports of running in a corridor

@highlight

It measures eight feet by six outside but holds several rooms and an orchard

@highlight

Tenant Rosalind Beech says keeping it tidy made the room

@highlight

The council found no rule against it and will not raise the rent
